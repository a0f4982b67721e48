"""Brings what the compilers make into a cluster, and takes it out again: plan, diff, apply, remove."""

"""Third room: which entry a framed line is, and which values it carries."""

"""Generated from proto/ by script/proto; never edited."""

"""The terminal of a run for people: published while a live session is open, and recorded."""

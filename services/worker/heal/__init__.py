"""What a stuck or failed attempt of a step means, and what is done about it."""

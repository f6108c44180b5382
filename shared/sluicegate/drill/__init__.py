"""Failure drills on a deployment of one's own: what is killed, frozen or slowed, and what comes of it."""

"""The queue's REST service: accepts jobs, answers about them, serves workers over HTTP."""

"""The whole of Sluicegate on one machine, for development: embedded store, services, one port in front."""

"""Jobs of type `task`: prepare a workspace, execute the steps, publish a branch."""

"""Account and schema objects, one package for each kind."""

"""The load-control terminal polls the meters on its bus, raises alarms, and reports to the master station."""

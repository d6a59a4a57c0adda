"""The load-control terminal: polls the meters on its bus, alarms, and reports to the master station."""

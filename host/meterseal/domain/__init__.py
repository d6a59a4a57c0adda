"""The values and pure rules of a seal do no I/O: record, event, flash image, signing, verdict, alarms."""

"""Values and pure rules of the seal: record, event, flash image, signing, verdict, alarms. No I/O."""

"""What every instrument is made of: declarations, properties, what writes to them do, life cycle, settings."""

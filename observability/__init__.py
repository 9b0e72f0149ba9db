"""What can be seen of the functions at work: events, queries, a dashboard, alarms."""

"""The commands: what they take and print. What they need of the cloud is imported when they run."""

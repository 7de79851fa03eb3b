"""What each pattern compares: one folder for each, and one line here."""

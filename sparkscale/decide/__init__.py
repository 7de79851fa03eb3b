"""`sparkscale decide`: measures a part of a suite until questions are answered, or until the time is over."""

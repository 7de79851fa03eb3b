"""`sparkscale gate`: measures a base and a head by turns, and the base a second time beside them."""

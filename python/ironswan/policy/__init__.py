"""The databases of RFC 4301 as values: proposals, traffic selectors, identities, connections. Knows no wire and no state."""

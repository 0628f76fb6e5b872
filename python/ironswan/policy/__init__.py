"""The databases of RFC 4301 as values: proposals, traffic selectors, identities, connections. No wire, no state."""

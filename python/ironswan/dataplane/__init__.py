"""The port the gateway talks to, and its adapters: native (Rust threads) and null (records what it is told)."""

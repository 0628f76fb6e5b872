"""The lab: network namespaces, processes, traffic and a wire tap, for the demo and the interop tests. Linux only."""

"""How the data plane scales: with the number of SAs, the size of packets, their runs, and the workers. No IKE."""

"""Peers for Evenkeel: clients, servers, certificates, and the process itself."""

//! Stories through the front door: simulated upstreams, the real service, real sockets, a real database file.

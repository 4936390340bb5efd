"""The socket engine that network kinds share: names, connections, the kernel's clock, TLS, HTTP/1; knows no checks."""

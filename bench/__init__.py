"""What a request costs the gateway, measured beside a bare proxy: `make bench`."""

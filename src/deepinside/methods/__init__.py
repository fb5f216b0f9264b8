"""One file a method: `(network, batch, *, hyper-parameters) -> Maps | Images`."""

"""Where the bytes of twin models live, under the names that IPFS gives them."""

"""Read energy: one module per source. This file imports none of them."""

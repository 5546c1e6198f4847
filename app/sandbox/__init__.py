"""The product on the local cloud: both clouds set up by ``infra``, seeds, the demo. Nothing else knows ``localcloud``."""

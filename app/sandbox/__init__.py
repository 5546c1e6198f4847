"""The product on the local cloud: both clouds set up by ``infra``, seeds, and the steps of the demo."""

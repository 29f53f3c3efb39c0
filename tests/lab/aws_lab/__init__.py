"""An AWS of this machine: moto, the layer that makes it as strict as AWS, and what looks at it from outside."""

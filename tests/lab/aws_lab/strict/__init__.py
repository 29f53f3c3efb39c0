"""What stands in front of moto and does what moto leaves out, so that a client which forgets an order, a wait, a token or
a page fails here as it would on AWS.

One concern a file. A rule sees a call before moto does and may refuse it, and sees the answer before the client does and may
change it. Each names the page of AWS that it rests on; read November 2026. Not everything that AWS does is here."""

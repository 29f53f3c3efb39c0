//! The graph of a plan as text, DOT, Mermaid and SVG.

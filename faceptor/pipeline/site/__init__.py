"""The site: executed notebooks, results, claims and pictures as static pages in docs/site, without script."""

"""Models for elsewhere: graphs for other runtimes, tasks as small files, the page that runs in a browser."""

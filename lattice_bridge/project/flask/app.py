"""The function `orders`. Lambda runs each tenant in environments of its own, so this module's state is one tenant's."""

from itertools import count

from apig_wsgi import make_lambda_handler
from flask import Flask, request

REQUESTS = count(1)

app = Flask(__name__)


@app.get("/orders")
def get_orders():
    return {"tenant": request.environ["apig_wsgi.context"].tenant_id, "request": next(REQUESTS)}


handler = make_lambda_handler(app, binary_support=True)

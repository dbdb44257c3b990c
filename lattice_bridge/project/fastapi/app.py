"""The function `orders`. Lambda runs each tenant in environments of its own, so this module's state is one tenant's."""

from itertools import count

from fastapi import FastAPI, Request
from mangum import Mangum

REQUESTS = count(1)

app = FastAPI()


@app.get("/orders")
async def get_orders(request: Request):
    return {"tenant": request.scope["aws.context"].tenant_id, "request": next(REQUESTS)}


handler = Mangum(app, lifespan="off")

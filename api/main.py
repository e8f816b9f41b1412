"""Build the API: `uvicorn api.main:app`, or gunicorn with uvicorn's worker class."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from api.asr.routes import router as asr
from api.engines import router as engines
from api.events import router as events
from api.handlers import polled, router
from api.jobs import router as jobs
from api.news import hub_of
from api.openai.envelope import PREFIX, write_envelope
from api.openai.routes import router as openai
from api.problems import install_error_handlers
from api.shutdown import at_stop_signal
from api.state import State
from api.transcripts import router as transcripts
from api.tus.headers import PREFIX as UPLOADS
from api.tus.headers import write_tus_problem
from api.tus.routes import router as uploads
from api.webhooks import router as webhooks
from steno import __version__
from steno.collector import spare_what_is_here
from steno.config import Settings, load_settings
from steno.unknown_settings import warn_of_unknown_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API over these settings, by default the environment's. Opens no connection and makes no folder."""
    state = State(settings or load_settings())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with at_stop_signal(hub_of(state).close):
            yield
        await state.close()

    app = FastAPIOffline(  # /docs with its scripts served from here: a private machine need not reach a CDN
        title="Steno",
        version=__version__,
        summary="Upload a recording, get a job id at once, fetch the transcript with a time on every word.",
        lifespan=lifespan,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # the methods of generated clients are called by it
    )
    app.state.steno = state
    # One line a malformed body would let any client flood the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    for client in ("httpx", "httpcore"):  # a line a URL that is fetched, with all that it may hold
        logging.getLogger(client).setLevel(logging.WARNING)
    install_error_handlers(app, {PREFIX: write_envelope, f"{UPLOADS}/": partial(write_tus_problem, state.settings)})
    app.include_router(polled)
    app.include_router(router)
    app.include_router(transcripts)
    app.include_router(jobs)
    app.include_router(events)
    app.include_router(engines)
    app.include_router(webhooks)
    app.include_router(uploads)
    app.include_router(openai)
    app.include_router(asr)
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    return app


warn_of_unknown_settings()
app = create_app()
spare_what_is_here()

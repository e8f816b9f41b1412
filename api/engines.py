"""What can be asked for here: the engines that live workers offer, their models, and the options each honours."""

import asyncio
from typing import Any

from fastapi import APIRouter

from api import errors
from api.models import EngineDescription, EngineList, option_schemas
from api.problems import problems
from api.state import AppState, State
from steno.config import Settings
from steno.engines import ENGINES, Engine
from steno.jobs.options import DEFAULTS
from steno.jobs.roster import Offer
from steno.languages import LANGUAGES

router = APIRouter()


@router.get("/engines", summary="What can listen here?", responses=problems(errors.QueueUnavailable))
async def list_engines(state: AppState) -> EngineList:
    """Every engine that Steno knows: whether a live worker offers it, with which models and versions, and its options."""
    offered = await state.offered()
    offers = await asyncio.to_thread(state.roster.offers)
    described = [
        _described(engine, engine.name in offered, offers.get(engine.name, []), state) for engine in ENGINES.values()
    ]
    return EngineList(engines=described)


def _described(engine: Engine, available: bool, offers: list[Offer], state: State) -> EngineDescription:
    models = models_at_hand(state.settings, engine.name, available, offers)
    default = state.settings.default_model_of(engine.name)
    return EngineDescription(
        name=engine.name,
        available=available,
        workers=len(offers),
        models=models,
        default_model=default if default in models else None,
        languages=list(engine.languages or LANGUAGES),
        options=_options(engine),
        versions=_distinct([offer.versions for offer in offers]),
        devices=sorted({offer.device for offer in offers}),
        licence=engine.licence,
        install=engine.install,
    )


def models_at_hand(settings: Settings, engine: str, available: bool, offers: list[Offer]) -> list[str]:
    """The models of an engine that are allowed here and known to a live worker."""
    allowed = settings.models_of(engine)
    held = {model for offer in offers for model in offer.models} if offers else set(allowed if available else ())
    return [model for model in allowed if model in held]


def _options(engine: Engine) -> dict[str, Any]:
    """By name, what values an option may have; one that the engine never does otherwise may be asked for as it is."""
    schemas = option_schemas()
    free = {name: schemas[name] for name in DEFAULTS if name in engine.options}
    return free | {name: {"const": value} for name, value in engine.fixed.items()}


def _distinct(versions: list[dict[str, str]]) -> list[dict[str, str]]:
    return [told for number, told in enumerate(versions) if told not in versions[:number]]

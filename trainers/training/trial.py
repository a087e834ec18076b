"""One trial from its config to its result: the only place where the parts of training meet."""

import hashlib
import logging
import math
import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import PIL
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from trainers.activation_checkpointing import activation_checkpointing
from trainers.analyses.bias_maps import BIAS_MAPS, write_bias_maps
from trainers.analyses.learned_bias import learned_bias
from trainers.atomic_file import replaced_file
from trainers.attention_kernels import KernelRecord, chosen_kernels, match_plain_attention
from trainers.batch_norm import require_batch_norm_to_train, running_statistics
from trainers.checksums import changed_file, digest_of, write_sums
from trainers.compilation import fresh_compiler, how_compiled
from trainers.config import TrialConfig
from trainers.cores import fewer_readers, given_cores, readers
from trainers.counted import counted
from trainers.data.loading import BatchStream, Pass
from trainers.data.normalization import Normalization
from trainers.data.sampling import EvalSampler, TrainSampler
from trainers.data.scored_view import scored_view
from trainers.data.splits import Batch, squares
from trainers.determinism import deterministic_kernels
from trainers.device import Device
from trainers.errors import CheckpointError, ConfigError, NonFiniteLossError
from trainers.gpu_memory import allocator_settings, give_back_gpu_memory, limit_gpu_memory, told_as_the_trials_own
from trainers.initial_model import initial_network
from trainers.models.bias import bias_metrics, bias_parameters, token_sides_px
from trainers.nested import Nested
from trainers.optimization.parameter_groups import parameter_groups
from trainers.ranks import ALONE, World
from trainers.result import EpochReport, TrialResult
from trainers.runtime import Runtime
from trainers.seeding import NoiseState, seed_noise
from trainers.start import start_of
from trainers.tasks.evidence import EVIDENCE_FILE, Evidence, write_evidence
from trainers.tasks.shown_images import SHOWN_IMAGES, write_shown_images
from trainers.training.checkpoint import CheckpointFolder, Identity, RankState, StateDict, TrainingState
from trainers.training.descent import Descent, PartOfEpoch
from trainers.training.files import CONFIG, RESULT
from trainers.training.saving import Saver
from trainers.training.scoring import score_split
from trainers.training.showing import shown_images
from trainers.version import code_version, library_versions

logger = logging.getLogger(__name__)

OnEpoch = Callable[[EpochReport], None]


def train(
    config: TrialConfig,
    runtime: Runtime,
    *,
    world: World = ALONE,
    on_epoch: OnEpoch | None = None,
    stop: threading.Event | None = None,
) -> TrialResult:
    """Train one trial, or finish one that was interrupted.

    The state is saved every `checkpoint_minutes`; called again with the same storage, training goes on from there. On a
    CPU with the same number of threads it gives the numbers of a run without interruption, bit for bit; on a GPU up to
    rounding, because kernels add up in an order of the moment (with `optimization.deterministic`, and one process, in
    the same order as far as torch promises it). A finished trial's stored result is returned at once.

    With `optimization.epochs` 0 no step is taken and no checkpoint written: the initial weights are what is scored
    and analysed, and `best_epoch` is `None`.

    Args:
        config: all that may change the numbers.
        runtime: where it runs.
        world: this process among those that train this trial; every one of them calls this function.
        on_epoch: called on rank 0 after each epoch that this call trains. It is called before the epoch is saved, so
            an epoch may be reported twice (by a killed run and by its successor) but is never left out.
        stop: once it is set on rank 0 (by the handler of a signal, say), the training saves its state and ends: after
            the step under way, or, of several ranks, within about 5 s of training.

    Returns:
        The result, on every rank.

    Raises:
        ConfigError: this model, batch or device can't be had.
        DataError: images are missing or broken.
        NonFiniteLossError: the loss became NaN or infinite.
        GpuMemoryError: a batch does not fit into the memory of a GPU that the trial has for itself.
        CheckpointError: the storage holds another trial.
        OtherVersionError: this machine has other code than that which the trial was planned with.
        InterruptedTrainingError: on every rank, the training was asked to stop.
    """
    with _threads(runtime.num_threads):
        identity = Identity.of(config, data_fingerprint=_look_at_data(config, runtime, world))
        if runtime.planned is not None:
            runtime.planned.require(trial=identity.trial, code=identity.code, data=identity.data)
        stored = world.from_main(lambda: _stored_result(runtime.storage, identity))
        if stored is not None:
            if runtime.storage is not None and world.is_main:
                # A kill between the result and its end has left them.
                CheckpointFolder(runtime.storage, identity).clear()
            return stored
        try:
            with (
                fresh_compiler(config.optimization),
                deterministic_kernels(config.optimization),
                told_as_the_trials_own(config, world, gpu_share=runtime.gpu_share),
            ):
                return _train(config, runtime, world, identity, on_epoch, stop or threading.Event())
        finally:
            # The process may train many more trials, and others may share its GPU.
            give_back_gpu_memory()


def _train(
    config: TrialConfig,
    runtime: Runtime,
    world: World,
    identity: Identity,
    on_epoch: OnEpoch | None,
    stop: threading.Event,
) -> TrialResult:
    """In a frame of its own: when it returns, nothing refers to the trial any more."""
    device = Device.choose(runtime.device, config.optimization.precision)
    allocator = allocator_settings(device.torch_device)
    limit_gpu_memory(device.torch_device, gpu_share=runtime.gpu_share)
    with (
        device.products(),
        chosen_kernels(config.optimization.attention, device.torch_device),
        closing(_Trial(config, runtime, world, identity, device, allocator, stop)) as trial,
    ):
        return trial.run(on_epoch)


class _Trial:
    """A trial under way: built once, resumed if there is a checkpoint, then run."""

    def __init__(
        self,
        config: TrialConfig,
        runtime: Runtime,
        world: World,
        identity: Identity,
        device: Device,
        allocator: str,
        stop: threading.Event,
    ) -> None:
        self._config, self._storage, self._world, self._identity = config, runtime.storage, world, identity
        self._device, self._allocator = device, allocator
        self._kernels = KernelRecord(is_compiled=config.optimization.compile)
        self._loader_workers, self._image_cache_gib = runtime.loader_workers, runtime.image_cache_gib
        self._load_data(runtime.data_root)
        self._build_model(runtime.data_root)
        self._start = start_of(self._network, self._splits.train, self._sampler)
        self._reports: list[EpochReport] = []
        self._best_epoch: int | None = None
        self._best_weights: StateDict = {}
        self._begun: RankState | None = None
        self._stream: BatchStream | None = None
        self._files = None if self._storage is None else self._files_in(self._storage)
        self._saver = Saver(
            self._files if world.is_main else None,
            every_seconds=60 * runtime.checkpoint_minutes,
            world=world,
            stop=stop,
        )
        self._resume()

    def _load_data(self, data_root: Path | None) -> None:
        config, optimization = self._config, self._config.optimization
        self._splits = config.dataset.load(
            data_root,
            input_size_px=config.model.input_size_px,
            augmentation=config.augmentation,
            seed=config.seed,
            view=config.task.scored_view(
                scored_view(
                    config.normalization,
                    input_size_px=config.model.input_size_px,
                    published=config.model.published_view,
                ),
                input_size_px=config.model.input_size_px,
            ),
        )
        config.task.require_classes(
            len(self._splits.class_names), epochs=optimization.epochs, label=config.dataset.label
        )
        if self._image_cache_gib > 0:
            self._splits.keep_decoded(limit_gib=self._image_cache_gib, key=self._images_key())
        self._normalize = Normalization.choose(
            config.normalization,
            mean=config.model.input_mean,
            std=config.model.input_std,
            device=self._device.torch_device,
        )
        self._sampler = TrainSampler(
            len(self._splits.train),
            global_batch_size=optimization.global_batch_size,
            accumulation_steps=optimization.accumulation_steps,
            seed=config.seed,
            world=self._world,
        )
        if optimization.epochs:
            self._sampler.require_a_step()
            complaint = optimization.schedule.complaint(optimization.epochs * self._sampler.steps_per_epoch)
            if complaint is not None:
                raise ConfigError(complaint)
        self._prepare = config.task.preparation(
            config.mixing,
            self._splits.class_names,
            micro_batch_size=self._sampler.micro_batch_size,
            seed=config.seed,
            rank=self._world.rank,
        )

    def _images_key(self) -> str:
        """What decoded images depend on: the data, how the data set is read, this code and Pillow's."""
        dataset = self._config.dataset
        facts = [self._identity.data, code_version(dataset), PIL.__version__, dataset.model_dump_json()]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:20]

    def _read(self) -> BatchStream:
        """All that is left to be read, in the order in which `run` takes it."""
        num_done, num_epochs = len(self._reports), self._config.optimization.epochs
        passes: list[Pass] = []
        for epoch in range(num_done, num_epochs):
            first_step = len(self._begun.part.losses) if epoch == num_done and self._begun is not None else 0
            passes.append(Pass("train", epoch, self._sampler.of_epoch(epoch, first_step=first_step)))
            passes.append(self._scoring("val", epoch))
        passes.append(self._scoring("val", num_epochs))
        if self._config.score_test:
            passes.append(self._scoring("test", num_epochs))
        wanted, cores = self._loader_workers, given_cores() / self._world.size_here()
        started = readers(wanted, cores=cores)
        if started < wanted:
            logger.warning("%s", fewer_readers(wanted, started, cores=cores))
        return BatchStream(
            {"train": self._splits.train, "val": self._splits.val, "test": self._splits.test},
            passes,
            loader_workers=started,
            pin=self._device.is_cuda,
        )

    def _scoring(self, name: Literal["val", "test"], epoch: int) -> Pass:
        split = self._splits.val if name == "val" else self._splits.test
        return Pass(name, epoch, EvalSampler(len(split), batch_size=self._scored_at_once(), world=self._world))

    def _scored_at_once(self) -> int:
        """Without gradients twice the micro-batch fits where the micro-batch did."""
        return 2 * self._sampler.micro_batch_size

    def _build_model(self, data_root: Path | None) -> None:
        config, optimization = self._config, self._config.optimization
        network = initial_network(config, self._splits.class_names, data_root)
        self._initial_bias = bias_metrics(network)
        match_plain_attention(network, optimization.attention, self._device.torch_device)
        if optimization.precision == "bf16":
            config.task.keep_precise(network)
        self._network = network.to(self._device.torch_device)
        self._criterion = config.task.criterion(self._splits.class_names, self._device.torch_device)
        backbone = self._backbone_of(self._network)
        if optimization.epochs:
            require_batch_norm_to_train(
                self._network,
                lambda images: config.task.outputs(self._network, images, None),
                image_size_px=config.model.input_size_px,
                micro_batch_size=self._sampler.micro_batch_size,
                label=config.model.label,
            )
        self._optimizer = optimization.optimizer.build(
            parameter_groups(
                self._network,
                backbone,
                bias=bias_parameters(self._network),
                weight_decay=optimization.optimizer.weight_decay,
                bias_lr_multiplier=config.attention_bias.lr_factor,
                layer_decay=optimization.layer_decay,
            )
        )
        self._ema = optimization.ema.build(self._network)
        self._scored_network = self._network if self._ema is None else self._ema.module
        if optimization.compile:
            backbone.compile()
        model_input = _model_input(self._normalize, self._device, config.model.input_size_px)
        observers = (
            analysis.observer(self._splits.val, model_input, seed=config.seed, world=self._world)
            for analysis in config.analyses
        )
        self._observers = [observer for observer in observers if observer is not None]
        if optimization.epochs:
            for observer in self._observers:
                observer.before(backbone)

    def _backbone_of(self, network: nn.Module) -> nn.Module:
        return self._config.task.backbone(network)

    def _resume(self) -> None:
        folder = self._storage
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if self._world.is_main:
            # For people, and for analyses of the checkpoint: nothing here reads it.
            with replaced_file(folder / CONFIG) as file:
                file.write(self._config.model_dump_json(indent=1).encode())
        files = self._files
        assert files is not None
        state = self._world.from_main(files.load)
        if state is None:
            return
        self._network.load_state_dict(state.model)
        self._optimizer.load_state_dict(state.optimizer)
        if self._ema is not None and state.ema is not None:
            self._ema.module.load_state_dict(state.ema)
        self._best_epoch, self._best_weights = state.best_epoch, state.best_weights
        self._reports = [EpochReport.model_validate_json(report) for report in state.reports]
        self._kernels.goes_on_from(state.kernels)
        if state.ranks:
            self._begun = self._mine(state.ranks)
            num_steps, of_steps = len(self._begun.part.losses), self._sampler.steps_per_epoch
            logger.info(
                "resumed in epoch %d after %d of %d steps from %s", len(self._reports), num_steps, of_steps, folder
            )
        else:
            logger.info("resumed after epoch %d from %s", len(self._reports) - 1, folder)

    def _mine(self, ranks: list[RankState]) -> RankState:
        """What this rank alone knew in the middle of an epoch.

        Raises:
            CheckpointError: there were other ranks, or another kind of device; an epoch can't change them.
        """
        device = "cpu" if ranks[0].noise.cuda is None else "cuda"
        if (len(ranks), device) != (self._world.size, self._device.torch_device.type):
            raise CheckpointError(
                f"{self._storage} was saved in the middle of an epoch by {len(ranks)} worker(s) on {device}, whose "
                "dropout no others can go on drawing: go on with those, or remove the folder"
            )
        return ranks[self._world.rank]

    def _models_with_statistics(self) -> list[nn.Module]:
        """Whose batch norms differ from rank to rank until an epoch ends."""
        if self._world.size == 1:
            return []
        return [self._network, *([] if self._ema is None else [self._ema.module])]

    def close(self) -> None:
        """End the loader workers, and the thread that saves."""
        if self._stream is not None:
            self._stream.close()
        self._saver.close()

    def run(self, on_epoch: OnEpoch | None) -> TrialResult:
        descent = Descent(
            self._network,
            self._optimizer,
            self._ema,
            task=self._config.task,
            criterion=self._criterion,
            normalize=self._normalize,
            prepare=self._prepare,
            config=self._config.optimization,
            seed=self._config.seed,
            steps_per_epoch=self._sampler.steps_per_epoch,
            device=self._device,
            world=self._world,
            kernels=self._kernels,
        )
        stream = self._stream = self._read()
        for epoch in range(len(self._reports), self._config.optimization.epochs):
            report = self._run_epoch(descent, stream, epoch)
            if self._world.is_main and on_epoch is not None:
                on_epoch(report)
            self._saver.after_epoch(self._state)
        return self._finish(stream)

    def _run_epoch(self, descent: Descent, stream: BatchStream, epoch: int) -> EpochReport:
        started = time.perf_counter()
        seed_noise(self._config.seed, epoch=epoch, world=self._world)
        begun = self._take_up()
        batches = stream.next_pass("train", epoch)
        with activation_checkpointing(self._backbone_of(self._network), self._config.optimization):
            pace = descent.run_epoch(epoch, batches, begun=begun, after_step=self._after_step)
        val = self._score(self._interruptible(stream.next_pass("val", epoch), pace)).metrics()
        if (broken := _not_finite(val)) is not None:
            last_step = (epoch + 1) * self._sampler.steps_per_epoch - 1
            raise NonFiniteLossError(loss=val[broken], epoch=epoch, step=last_step, split="validation", name=broken)
        num_images = self._sampler.steps_per_epoch * self._config.optimization.global_batch_size
        report = EpochReport(
            epoch=epoch,
            metrics={
                "train/loss": pace.loss,
                **{f"val/{name}": value for name, value in val.items()},
                "lr": pace.lr,
                "images_per_second": num_images / pace.seconds,
                "data_wait_fraction": pace.wait_seconds / pace.seconds,
                **bias_metrics(self._network),
                **{
                    name: value
                    for observer in self._observers
                    for name, value in observer.during(self._backbone_of(self._scored_network), epoch).items()
                },
            },
            seconds=time.perf_counter() - started + (0.0 if begun is None else begun.seconds),
        )
        if self._best_epoch is None or self._config.task.is_better(val, self._val_of(self._best_epoch)):
            self._best_epoch = epoch
            self._best_weights = {name: value.clone() for name, value in self._scored_network.state_dict().items()}
        self._reports.append(report)
        return report

    def _val_of(self, epoch: int) -> dict[str, float]:
        metrics = self._reports[epoch].metrics
        return {name.removeprefix("val/"): value for name, value in metrics.items() if name.startswith("val/")}

    def _take_up(self) -> PartOfEpoch | None:
        """Go on in the middle of the epoch that was interrupted, if one was.

        Not earlier: distributed training begins by giving every rank the statistics of rank 0.
        """
        mine, self._begun = self._begun, None
        if mine is None:
            return None
        mine.noise.restore(self._device.torch_device)
        for statistics, model in zip(mine.statistics, self._models_with_statistics(), strict=True):
            model.load_state_dict(statistics, strict=False)
        return mine.part

    def _score(self, batches: Iterable[Batch]) -> Evidence:
        return score_split(
            self._scored_network,
            self._config.task,
            batches,
            normalize=self._normalize,
            device=self._device,
            world=self._world,
            kernels=self._kernels,
        )

    def _interruptible(self, batches: Iterable[Batch], done: PartOfEpoch) -> Iterator[Batch]:
        """Batches to score, between which one rank alone may save and stop; several have unequal numbers of them."""
        for batch in batches:
            yield batch
            if self._world.size == 1:
                self._after_step(lambda: done)

    def _after_step(self, part: Callable[[], PartOfEpoch]) -> None:
        self._saver.after_step(lambda: self._state(self._world.gather(self._rank_state(part()))))

    def _rank_state(self, part: PartOfEpoch) -> RankState:
        return RankState(
            part=part,
            noise=NoiseState.of(self._device.torch_device),
            statistics=[running_statistics(model) for model in self._models_with_statistics()],
        )

    def _state(self, ranks: Sequence[RankState] = ()) -> TrainingState:
        return TrainingState(
            model=self._network.state_dict(),
            optimizer=self._optimizer.state_dict(),
            ema=None if self._ema is None else self._ema.module.state_dict(),
            best_weights=self._best_weights,
            best_epoch=self._best_epoch,
            reports=[report.model_dump_json() for report in self._reports],
            kernels=self._kernels.ran,
            ranks=list(ranks),
        )

    def _finish(self, stream: BatchStream) -> TrialResult:
        """Score once, with the best epoch's weights or, without an epoch, the initial ones; keep what was found."""
        last = self._config.optimization.epochs
        if self._best_epoch is not None:
            self._scored_network.load_state_dict(self._best_weights)
        scored = {"val": self._score(stream.next_pass("val", last))}
        if self._config.score_test:
            scored["test"] = self._score(stream.next_pass("test", last))
        if self._best_epoch is not None:
            best = self._reports[self._best_epoch].metrics
            # What the model saw in its last epoch is not what the scored weights see.
            final = self._reports[-1].metrics
            metrics = {name: value for name, value in final.items() if not name.startswith("receptive_field_epoch/")}
        else:
            best = {f"val/{name}": value for name, value in scored["val"].metrics().items()}
            metrics = best | bias_metrics(self._scored_network)
            if (broken := _not_finite(best)) is not None:
                name = broken.removeprefix("val/")
                raise ConfigError(f"the initial weights give a validation {name} of {best[broken]}: they are broken")
        metrics.update({f"best_{name}": value for name, value in best.items() if name.startswith("val/")})
        if "test" in scored:
            metrics.update({f"test/{name}": value for name, value in scored["test"].metrics().items()})
        backbone = self._backbone_of(self._scored_network)
        # On every rank, or the others would sit in a collective, which has a time limit, while one looks.
        questions = (analysis.bias_question for analysis in self._config.analyses)
        learned = learned_bias(backbone, next((asked for asked in questions if asked is not None), None))
        metrics.update(learned.metrics())
        for observer in self._observers:
            metrics.update(observer.after(backbone))
        result = TrialResult(
            epochs=self._reports,
            best_epoch=self._best_epoch,
            metrics=metrics,
            predictions_file=None if self._storage is None else EVIDENCE_FILE,
            training_seconds=sum(report.seconds for report in self._reports),
            provenance=self._provenance(),
            initial_bias=self._initial_bias,
            token_sides_px=token_sides_px(backbone),
            learned_bias=learned.fits,
            receptive_field_remarks=tuple(remark for observer in self._observers for remark in observer.remarks),
        )
        if self._storage is not None and self._world.is_main:
            write_evidence(self._storage / EVIDENCE_FILE, scored, self._splits.class_names)
            self._keep_images(self._storage)
            write_bias_maps(self._storage / BIAS_MAPS, learned.maps)
            for observer in self._observers:
                observer.save(self._storage)
            self._keep_result(self._storage, result)
        # Ranks differ in what their clocks say.
        return self._world.from_main(lambda: result)

    def _keep_images(self, storage: Path) -> None:
        """What the scored weights say of a few images of the test split, if it is scored at all."""
        if not self._config.score_test:
            return
        images = shown_images(
            self._scored_network,
            self._config.task,
            self._splits.test,
            normalize=self._normalize,
            device=self._device,
            batch_size=self._scored_at_once(),
        )
        if images:
            write_shown_images(storage / SHOWN_IMAGES, images, self._splits.class_names)

    def _keep_result(self, storage: Path, result: TrialResult) -> None:
        """What makes the trial a finished one; what only an unfinished one needs goes."""
        files = self._files_in(storage)
        self._saver.finish()
        if self._best_epoch is not None:
            files.keep(self._best_epoch, self._best_weights)
        text = result.model_dump_json(indent=1).encode()
        # Before the result, which makes the trial a finished one.
        sums = {RESULT: hashlib.sha256(text).hexdigest(), EVIDENCE_FILE: digest_of(storage / EVIDENCE_FILE)}
        write_sums(storage, sums)
        with replaced_file(storage / RESULT) as file:
            file.write(text)
        files.clear()

    def _files_in(self, storage: Path) -> CheckpointFolder:
        return CheckpointFolder(storage, self._identity, self._config.attention_bias.model_dump_json())

    def _provenance(self) -> dict[str, str]:
        return {
            "trial": self._identity.trial,
            "code_version": self._identity.code,
            "data_fingerprint": self._identity.data,
            "config_digest": self._identity.config,
            "num_workers": str(self._world.size),
            # Ranks may have got GPUs of several models, or nodes of several makes.
            "device": " and ".join(sorted(set(self._world.gather(self._device.name)))),
            "cpu": " and ".join(sorted(set(self._world.gather(_how_cpus_compute())))),
            **({"fp32": self._device.fp32, "allocator": self._allocator} if self._device.is_cuda else {}),
            **({"kernels": "deterministic"} if self._config.optimization.deterministic else {}),
            **how_compiled(self._config.optimization),
            **self._kernels.provenance(),
            **self._start,
            "num_parameters": str(sum(parameter.numel() for parameter in self._network.parameters())),
            "python": platform.python_version(),
            **library_versions(self._config),
        }


def _how_cpus_compute() -> str:
    """What sums on a CPU depend on: `AVX512, 4 threads`."""
    return f"{torch.backends.cpu.get_cpu_capability()}, {counted(torch.get_num_threads(), 'thread')}"


def _not_finite(metrics: Mapping[str, float]) -> str | None:
    """The first metric that is NaN or infinite (`None`: none is)."""
    return next((name for name, value in metrics.items() if not math.isfinite(value)), None)


def _model_input(normalize: Normalization, device: Device, size_px: int) -> Callable[[Nested], Tensor]:
    """Makes the model's input of a split's images; it knows no trial, which would then only go with the collector."""
    return lambda images: normalize(device.receive(squares(images, size_px)))


def _look_at_data(config: TrialConfig, runtime: Runtime, world: World) -> str:
    """Fingerprint of the data; one rank says what was found."""
    if not world.is_main:
        return config.dataset.fingerprint(runtime.data_root)
    survey = config.dataset.survey(runtime.data_root)
    if survey.account is not None:
        logger.info("%s: %s", config.dataset.label, survey.account)
    return survey.fingerprint


def _stored_result(storage: Path | None, identity: Identity) -> TrialResult | None:
    """The result of a trial that is already complete; one that can't be read is skipped, as a checkpoint is.

    So is one that was changed, or whose predictions were: the trial is trained again, and they with it.

    Raises:
        CheckpointError: it is another trial's.
    """
    if storage is None or not (storage / RESULT).exists():
        return None
    if (changed := changed_file(storage)) is not None:
        logger.warning("%s: %s; finishing the trial again", storage, changed)
        return None
    try:
        result = TrialResult.model_validate_json((storage / RESULT).read_bytes())
        facts = result.provenance
        found = Identity(
            trial=facts["trial"],
            config=facts["config_digest"],
            code=facts["code_version"],
            data=facts["data_fingerprint"],
        )
    except (ValidationError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        logger.warning("%s can't be read (%s); finishing the trial again", storage / RESULT, reason)
        return None
    identity.require(found, storage / RESULT)
    return result


@contextmanager
def _threads(num_threads: int | None) -> Iterator[None]:
    """Use this many CPU threads, then as many as before."""
    before = torch.get_num_threads()
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

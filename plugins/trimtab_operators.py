"""Operators and tasks that DAGs of trimtab share."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException


@task
def reconcile() -> dict[str, Any]:
    """Finish, undo or void the transitions in the registry that were interrupted."""
    from trimtab.loop.reconcile import reconcile

    return reconcile()


@task
def wake(waits: int, otherwise: str) -> None:
    """Send the event of its outlet if something waits, which wakes the DAG that handles it; be skipped otherwise."""
    if not waits:
        raise AirflowSkipException(otherwise)


@task(trigger_rule="one_failed", retries=0)
def fail_if_one_failed() -> None:
    """Fail when a task before has failed, so that the DAG run does, too, although others go on; be skipped otherwise."""
    raise AirflowFailException("A task before this one has failed; see its log.")


class AskPersonOperator(HITLOperator):
    """Asks a person in the Airflow UI. Skipped if there is no question.

    Returns `CHOICE:NAME`.

    Args:
        question: A dict with `subject`, `body`, `minutes` and `default`, or None: the output of the task before.
        options: The answers to choose from.
    """

    template_fields = (*HITLOperator.template_fields, "question")

    def __init__(self, *, question: Any, **kwargs: Any) -> None:
        # The question sets the time-out of the answer. A time-out of the task would replace it.
        super().__init__(subject="", execution_timeout=None, **kwargs)
        self.question = question

    def execute(self, context: Any) -> Any:
        """Ask the question and wait without occupying a worker."""
        if self.question is None:
            raise AirflowSkipException("There is no question.")
        self.subject, self.body = self.question["subject"], self.question["body"]
        self.defaults = [self.question["default"]]
        self.response_timeout = timedelta(minutes=self.question["minutes"])
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> str:
        """Return the answer and the name of the person who gave it."""
        answer = super().execute_complete(context, event)
        who = (answer["responded_by_user"] or {}).get("name")
        return f"{answer['chosen_options'][0]}:{who or 'default, because nobody answered'}"

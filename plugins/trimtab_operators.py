"""Operators of trimtab's DAGs."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowSkipException


class AskPersonOperator(HITLOperator):
    """Asks on Airflow's page what a step wants to know; skipped when it wants to know nothing.

    Returns `CHOICE:WHO`.

    Args:
        question: `subject`, `body`, `minutes` and `default`, or None: the output of the task before.
        options: What can be chosen.
    """

    template_fields = (*HITLOperator.template_fields, "question")

    def __init__(self, *, question: Any, **kwargs: Any) -> None:
        # The limit of the answer is the question's; one of the task's own would be taken for it.
        super().__init__(subject="", execution_timeout=None, **kwargs)
        self.question = question

    def execute(self, context: Any) -> Any:
        """Ask, and wait without holding a worker."""
        if self.question is None:
            raise AirflowSkipException("Nothing is to be asked.")
        self.subject, self.body = self.question["subject"], self.question["body"]
        self.defaults = [self.question["default"]]
        self.response_timeout = timedelta(minutes=self.question["minutes"])
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> str:
        """Return the choice, and who made it."""
        answer = super().execute_complete(context, event)
        who = (answer["responded_by_user"] or {}).get("name")
        return f"{answer['chosen_options'][0]}:{who or 'default, for nobody answered'}"

"""A small template with a queue, its dead letters, a state machine and the one function behind both."""

from pathlib import Path
from typing import Final

TEMPLATE: Final = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: python3.13, CodeUri: functions/, Timeout: 30}
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: worker_of_the_test.handler
      Environment: {Variables: {WORK_QUEUE: !Ref WorkQueue, WORK_MACHINE: !Sub '${AWS::StackName}-work'}}
      Events:
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt WorkQueue.Arn
            BatchSize: 5
            MaximumBatchingWindowInSeconds: 0
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 2}
        Failures:
          Type: SQS
          Properties: {Queue: !GetAtt DeadLetters.Arn, Enabled: false}
  WorkQueue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 1
      MessageRetentionPeriod: 3600
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 2}
  DeadLetters: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-dead'}}
  WorkMachine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub '${AWS::StackName}-work'
      Type: STANDARD
      DefinitionUri: statemachines/work.asl.json
      DefinitionSubstitutions: {WorkerArn: !GetAtt Worker.Arn, Queue: !Ref WorkQueue}
      Policies: [LambdaInvokePolicy: {FunctionName: !Ref Worker}]
"""
MACHINE: Final = """
{
  "StartAt": "Wait",
  "States": {
    "Wait": {"Type": "Wait", "SecondsPath": "$.delay", "Next": "Work"},
    "Work": {"Type": "Task", "Resource": "${WorkerArn}", "End": true}
  }
}
"""


def write(folder: Path) -> Path:
    """Writes the template and its machine's definition; returns the template's path."""
    template = folder / "template.yaml"
    template.write_text(TEMPLATE, encoding="utf-8")
    machines = folder / "statemachines"
    machines.mkdir()
    (machines / "work.asl.json").write_text(MACHINE, encoding="utf-8")
    return template

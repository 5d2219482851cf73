"""What type checkers must reject: each line below two comments, the beginnings of what mypy and pyright say of it."""

from __future__ import annotations

from indianyio.client import Device
from indianyio.instrument import BoundProperty
from indianyio.properties import Values, number, switch


class AbsFocusPosition(Values, name="ABS_FOCUS_POSITION", perm="rw"):
    steps: float = number("FOCUS_ABSOLUTE_POSITION")


class Connection(Values, name="CONNECTION", rule="OneOfMany"):
    connect: bool = switch("CONNECT")


def move(to: AbsFocusPosition) -> float:
    return to.steps


position = AbsFocusPosition(steps=1)

# -- a wrong member

#: Unexpected keyword argument "step" for "AbsFocusPosition"; did you mean "steps"?
#! No parameter named "step"
wrong_member = AbsFocusPosition(step=1)
#: "AbsFocusPosition" has no attribute "step"; maybe "steps"?
#! Cannot access attribute "step" for class "AbsFocusPosition"
wrong_attribute = position.step
#: Too many positional arguments for "AbsFocusPosition"
#! Expected 0 positional arguments
by_position = AbsFocusPosition(1)

# -- a wrong type

#: Argument "steps" to "AbsFocusPosition" has incompatible type "str"; expected "float"
#! Argument of type "Literal['1']" cannot be assigned to parameter "steps" of type "float" in function "__init__"
a_text = AbsFocusPosition(steps="1")
#: Argument "connect" to "Connection" has incompatible type "int"; expected "bool"
#! Argument of type "Literal[1]" cannot be assigned to parameter "connect" of type "bool" in function "__init__"
a_number = Connection(connect=1)
#: Incompatible types in assignment (expression has type "float", variable has type "str")
#! Type "float" is not assignable to declared type "str"
as_text: str = position.steps

# -- the values of another property

#: Argument 1 to "move" has incompatible type "Connection"; expected "AbsFocusPosition"
#! Argument of type "Connection" cannot be assigned to parameter "to" of type "AbsFocusPosition" in function "move"
moved = move(Connection(connect=True))
#: Incompatible types in assignment (expression has type "AbsFocusPosition", variable has type "Connection")
#! Type "AbsFocusPosition" is not assignable to declared type "Connection"
other: Connection = position


async def report(reported: BoundProperty[AbsFocusPosition], device: Device) -> None:
    #: Argument 1 to "report" of "BoundProperty" has incompatible type "Connection"; expected "AbsFocusPosition | None"
    #! Argument of type "Connection" cannot be assigned to parameter "values" of type "AbsFocusPosition | None" in function "report"
    await reported.report(Connection(connect=True))
    #: "AbsFocusPosition" has no attribute "connect"
    #! Cannot access attribute "connect" for class "AbsFocusPosition"
    print(reported.value.connect)
    #: "AbsFocusPosition" has no attribute "connect"
    #! Cannot access attribute "connect" for class "AbsFocusPosition"
    print(device[AbsFocusPosition].connect)
    #: Argument 1 to "set" of "Device" has incompatible type "type[Connection]"; expected "str | Values"
    #! Argument of type "type[Connection]" cannot be assigned to parameter "vector" of type "str | Values" in function "set"
    await device.set(Connection)
    #: Value of type variable "ValuesT" of "read" of "Device" cannot be "int"
    #! Argument of type "type[int]" cannot be assigned to parameter "values" of type "type[ValuesT@read]" in function "read"
    await device.read(int)


#: Value of type variable "V" of "BoundProperty" cannot be "int"
#! Argument of type "type[int]" cannot be assigned to parameter "cls" of type "type[V@BoundProperty]" in function "__init__"
BoundProperty(int)

# -- a change of an instance

#: Property "steps" defined in "AbsFocusPosition" is read-only
#! Cannot assign to attribute "steps" for class "AbsFocusPosition"
position.steps = 2
#: "AbsFocusPosition" has no attribute "other"
#! Cannot assign to attribute "other" for class "AbsFocusPosition"
position.other = 2
#: Property "given" defined in "Values" is read-only
#! Cannot assign to attribute "given" for class "AbsFocusPosition"
position.given = ()

# -- declarations


class Wrong(Values, name="WRONG"):
    #: Incompatible types in assignment (expression has type "float", variable has type "str")
    #! Type "float" is not assignable to declared type "str"
    text: str = number("TEXT")
    #: Missing positional argument "name" in call to "number"
    #! Argument missing for parameter "name"
    nameless: float = number(label="Steps")
    #: Argument "min" to "number" has incompatible type "str"; expected "float"
    #! Argument of type "Literal['1']" cannot be assigned to parameter "min" of type "float" in function "number"
    unlimited: float = number("STEPS", min="1")


#: Argument "perm" to "__init_subclass__" of "Values" has incompatible type "Literal['wr']"
#! Incorrect keyword arguments for __init_subclass__ method
class Writeable(Values, name="WRITEABLE", perm="wr"):
    steps: float = number("STEPS")


#: Unexpected keyword argument "colour" for "__init_subclass__" of "Values"
#! Incorrect keyword arguments for __init_subclass__ method
class Coloured(Values, name="COLOURED", colour="red"):
    steps: float = number("STEPS")

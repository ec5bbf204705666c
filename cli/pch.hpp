// What most verbs include: compiled once.
#pragma once

#include <fmt/ranges.h>

#include "core/pch.hpp"
#include "schemas/protocol.pb.h"

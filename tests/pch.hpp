// Precompiled for every torch-free test program.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/pch.hpp"

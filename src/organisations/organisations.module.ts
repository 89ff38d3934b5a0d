import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Member } from './entities/member.entity.js';
import { Organisation } from './entities/organisation.entity.js';
import { MembersController } from './members.controller.js';
import { MembersService } from './members.service.js';
import { OrganisationChanges } from './organisation-changes.js';
import { MyAccountsController, OrganisationsController } from './organisations.controller.js';
import { OrganisationsService } from './organisations.service.js';
import { UnitsController } from './units.controller.js';
import { UnitsService } from './units.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([Organisation, Member])],
  controllers: [OrganisationsController, MembersController, UnitsController, MyAccountsController],
  providers: [OrganisationsService, MembersService, UnitsService, OrganisationChanges],
})
export class OrganisationsModule {}
